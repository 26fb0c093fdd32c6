import org.apache.commons.dbcp2.BasicDataSource;

class Dbcp {
    public static void main(String[] arguments) throws Exception {
        var pool = new BasicDataSource();
        pool.setUrl(Rounds.url());
        pool.setUsername(Rounds.USER);
        pool.setPassword(Rounds.PASSWORD);
        Rounds.rounds(4, () -> {
            try (var connection = pool.getConnection()) {
                Rounds.query(connection);
            }
        });
    }
}
