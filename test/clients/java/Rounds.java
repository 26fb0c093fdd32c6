// What each program of this folder does: a few requests, a pause, and again, for ever. One line of JSON for each request.
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;

class Rounds {
    interface Request {
        void run() throws Exception;
    }

    /** Whether the setting of docs/clients.md is on. */
    static final boolean HELPED = "on".equals(System.getenv("SETTING"));
    static final String USER = System.getenv("PGUSER");
    static final String PASSWORD = System.getenv("PGPASSWORD");

    static String url() {
        return "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
    }

    static void query(Connection connection) throws SQLException {
        try (var statement = connection.createStatement(); var rows = statement.executeQuery("SELECT 1")) {
            rows.next();
        }
    }

    /** Some requests at once, each in a thread, and two in sequence. */
    static void rounds(int atOnce, Request request) throws InterruptedException {
        for (int round = 1; ; round++) {
            final int number = round;
            var threads = new ArrayList<Thread>();
            for (int i = 0; i < atOnce; i++) threads.add(new Thread(() -> report(number, request)));
            for (var thread : threads) thread.start();
            for (var thread : threads) thread.join();
            for (int i = 0; i < (atOnce > 0 ? 2 : 6); i++) report(number, request);
            Thread.sleep(Integer.parseInt(System.getenv().getOrDefault("PAUSE_MS", "1000")));
        }
    }

    static void report(int round, Request request) {
        var result = "\"ok\":true";
        try {
            request.run();
        } catch (Exception e) {
            var state = e instanceof SQLException sql && sql.getSQLState() != null ? quote(sql.getSQLState()) : "null";
            result = "\"ok\":false,\"error\":" + quote(e.getClass().getSimpleName() + ": " + e.getMessage()) + ",\"sqlstate\":" + state;
        }
        System.out.println("{\"round\":" + round + "," + result + "}");
    }

    static String quote(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
