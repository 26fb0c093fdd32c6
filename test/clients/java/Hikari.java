import com.zaxxer.hikari.HikariDataSource;

class Hikari {
    public static void main(String[] arguments) throws Exception {
        var pool = new HikariDataSource();
        pool.setJdbcUrl(Rounds.url());
        pool.setUsername(Rounds.USER);
        pool.setPassword(Rounds.PASSWORD);
        Rounds.rounds(4, () -> {
            try (var connection = pool.getConnection()) {
                Rounds.query(connection);
            }
        });
    }
}
