// One connection for the life of the process.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

class Bare {
    static Connection connection;

    static Connection connect() throws SQLException {
        return DriverManager.getConnection(Rounds.url(), Rounds.USER, Rounds.PASSWORD);
    }

    public static void main(String[] arguments) throws Exception {
        connection = connect();
        Rounds.rounds(0, () -> {
            if (Rounds.HELPED) {
                if (!connection.isValid(1)) connection = connect();
            }
            Rounds.query(connection);
        });
    }
}
