// What MariaDB's Connector/J sees: HOST PORT USER PASSWORD SCHEMA OPTIONS FILE. The same lines direct and through suimon.
import java.sql.*;
import java.util.*;

public class Jdbc {
    static void show(Object... values) {
        System.out.println(Arrays.toString(values));
    }

    static void rows(ResultSet rs) throws SQLException {
        ResultSetMetaData md = rs.getMetaData();
        StringBuilder head = new StringBuilder();
        for (int i = 1; i <= md.getColumnCount(); i++)
            head.append(md.getColumnLabel(i)).append(':').append(md.getColumnTypeName(i)).append(' ');
        System.out.println(head);
        while (rs.next()) {
            Object[] row = new Object[md.getColumnCount()];
            for (int i = 0; i < row.length; i++)
                row[i] = rs.getString(i + 1);
            show(row);
        }
        rs.close();
    }

    static void prepared(Connection c) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("INSERT INTO j (s, d, t) VALUES (?, ?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int n = 0; n < 3; n++) {
                s.setString(1, "水 " + n);
                s.setDouble(2, n / 4.0);
                s.setTimestamp(3, Timestamp.valueOf("2024-02-29 12:00:0" + n));
                show("inserted", s.executeUpdate());
                rows(s.getGeneratedKeys());
            }
            for (int n = 0; n < 50; n++) {
                s.setString(1, n % 7 == 0 ? null : "batch " + n);
                s.setDouble(2, n);
                s.setNull(3, Types.TIMESTAMP);
                s.addBatch();
            }
            show("batch", s.executeBatch().length);
        }
        try (PreparedStatement s = c.prepareStatement("SELECT id, s, d, t FROM j WHERE id > ? ORDER BY id LIMIT ?")) {
            for (int from : new int[] {0, 40, 999}) {
                s.setInt(1, from);
                s.setInt(2, 5);
                rows(s.executeQuery());
            }
        }
    }

    static void transactions(Connection c) throws SQLException {
        try (Statement s = c.createStatement()) {
            for (boolean commit : new boolean[] {false, true}) {
                c.setAutoCommit(false);
                show("updated", s.executeUpdate("UPDATE j SET d = d + 1 WHERE id < 4"));
                Savepoint sp = c.setSavepoint("sp");
                s.executeUpdate("DELETE FROM j WHERE id = 1");
                c.rollback(sp);
                rows(s.executeQuery("SELECT COUNT(*), SUM(d) FROM j"));
                if (commit)
                    c.commit();
                else
                    c.rollback();
                c.setAutoCommit(true);
                rows(s.executeQuery("SELECT COUNT(*), SUM(d) FROM j"));
            }
            c.setReadOnly(true);
            rows(s.executeQuery("SELECT COUNT(*) FROM j"));
            c.setReadOnly(false);
        }
    }

    static void others(Connection c, String file) throws SQLException {
        try (Statement s = c.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY)) {
            s.setFetchSize(100);
            long sum = 0;
            try (ResultSet rs = s.executeQuery("SELECT a.id FROM j a, j b ORDER BY a.id, b.id")) {
                while (rs.next())
                    sum += rs.getLong(1);
            }
            show("streamed", sum);
            s.setFetchSize(0);
            for (String sql : new String[] {"SELEKT", "SELECT * FROM missing", "INSERT INTO j (id) VALUES (1)"}) {
                try {
                    s.execute(sql);
                } catch (SQLException e) {
                    show("error", e.getErrorCode(), e.getSQLState());
                }
            }
            boolean result = s.execute("SELECT 1; UPDATE j SET s = 'several' WHERE id = 2; SELECT s FROM j WHERE id = 2");
            for (; result || s.getUpdateCount() != -1; result = s.getMoreResults()) {
                if (result)
                    rows(s.getResultSet());
                else
                    show("changed", s.getUpdateCount());
            }
            String big = "x".repeat(3000000);
            try (PreparedStatement p = c.prepareStatement("SELECT LENGTH(?), MD5(?), REPEAT('y', 10)")) {
                p.setString(1, big);
                p.setString(2, big);
                rows(p.executeQuery());
            }
            s.execute("CREATE TABLE IF NOT EXISTS l (id INT, s VARCHAR(40))");
            s.execute("DELETE FROM l");
            show("loaded", s.executeUpdate("LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE l"));
            s.execute("SELECT CAST('1x' AS SIGNED)");
            for (SQLWarning w = s.getWarnings(); w != null; w = w.getNextWarning())
                show("warning", w.getErrorCode(), w.getMessage());
        }
    }

    public static void main(String[] a) throws SQLException {
        String url = "jdbc:mariadb://" + a[0] + ":" + a[1] + "/" + a[4] + "?allowMultiQueries=true&allowLocalInfile=true&serverTimezone=UTC&" + a[5];
        try (Connection c = DriverManager.getConnection(url, a[2], a[3]); Statement s = c.createStatement()) {
            show(c.getMetaData().getDatabaseProductVersion(), c.getCatalog(), c.isValid(5));
            s.execute("DROP TABLE IF EXISTS j");
            s.execute("CREATE TABLE j (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(40), d DOUBLE, t DATETIME(3)) CHARACTER SET utf8mb4");
            prepared(c);
            transactions(c);
            others(c, a[6]);
        }
    }
}
