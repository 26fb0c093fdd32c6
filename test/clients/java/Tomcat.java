import org.apache.tomcat.jdbc.pool.DataSource;
import org.apache.tomcat.jdbc.pool.PoolProperties;

class Tomcat {
    public static void main(String[] arguments) throws Exception {
        var props = new PoolProperties();
        props.setDriverClassName("org.postgresql.Driver");
        props.setUrl(Rounds.url());
        props.setUsername(Rounds.USER);
        props.setPassword(Rounds.PASSWORD);
        if (Rounds.HELPED) {
            props.setTestOnBorrow(true); props.setValidationQuery("SELECT 1");
        }
        var pool = new DataSource(props);
        Rounds.rounds(4, () -> {
            try (var connection = pool.getConnection()) {
                Rounds.query(connection);
            }
        });
    }
}
