from sqlalchemy import create_engine, text
from rounds import HELPED, URL as url, rounds

engine = create_engine(url, pool_pre_ping=True) if HELPED else create_engine(url)


def request():
    with engine.connect() as c:
        c.execute(text('SELECT 1')).fetchall()


rounds(request)
