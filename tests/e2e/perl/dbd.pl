# What DBD::mysql and DBD::MariaDB see: HOST PORT USER PASSWORD SCHEMA DRIVER COMPRESS FILE. The same lines direct and through suimon.
use strict;
use warnings;
use DBI;

my ($host, $port, $user, $password, $schema, $driver, $compress, $file) = @ARGV;
my $p = lc($driver) eq 'mariadb' ? 'mariadb' : 'mysql';
my $dsn = "dbi:$driver:database=$schema;host=$host;port=$port;${p}_compression=$compress;${p}_local_infile=1;${p}_multi_statements=1";
my $dbh = DBI->connect($dsn, $user, $password, {RaiseError => 1, PrintError => 0}) or die;

sub show { print join("\t", map { defined $_ ? $_ : 'NULL' } @_), "\n"; }

$dbh->do("DROP TABLE IF EXISTS p");
$dbh->do("CREATE TABLE p (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(40), d DOUBLE, b LONGBLOB) CHARACTER SET utf8mb4");
for my $server_side (0, 1) {
    $dbh->{"${p}_server_prepare"} = $server_side;
    my $insert = $dbh->prepare("INSERT INTO p (s, d, b) VALUES (?, ?, ?)");
    for my $n (1 .. 5) {
        show("inserted", $insert->execute("text $n", $n / 4, "\x01\x02$n"), $dbh->last_insert_id(undef, undef, 'p', 'id'));
    }
    $insert->execute(undef, undef, undef);
    my $select = $dbh->prepare("SELECT id, s, d, HEX(b) FROM p WHERE id > ? ORDER BY id");
    for my $from (0, 3, 99) {
        $select->execute($from);
        show("columns", @{$select->{NAME}}, $select->rows);
        while (my @row = $select->fetchrow_array) { show(@row); }
    }
    my $big = "x" x 3000000;
    my ($length, $md5) = $dbh->selectrow_array("SELECT LENGTH(?), MD5(?)", undef, $big, $big);
    show("big", $length, $md5, length(($dbh->selectrow_array("SELECT REPEAT('y', 2000000)"))[0]));
    for my $sql ("SELEKT", "SELECT * FROM missing", "INSERT INTO p (id) VALUES (1)") {
        eval { my $s = $dbh->prepare($sql); $s->execute; };
        show("error", $dbh->err, $dbh->state, $dbh->errstr);
    }
}
$dbh->{"${p}_server_prepare"} = 0;
$dbh->{mysql_use_result} = 1 if $p eq 'mysql'; # in DBD::MariaDB it yields no rows, direct either
my $stream = $dbh->prepare("SELECT a.id, b.s FROM p a, p b, p c ORDER BY a.id, b.id, c.id");
$stream->execute;
my ($count, $sum) = (0, 0);
while (my $row = $stream->fetchrow_arrayref) { $count++; $sum += $row->[0]; }
show("streamed", $count, $sum);
$stream->finish;
$dbh->{mysql_use_result} = 0 if $p eq 'mysql';
for my $end ('rollback', 'commit') {
    $dbh->begin_work;
    show("updated", $dbh->do("UPDATE p SET d = d + 1 WHERE id < 4"));
    show("inside", $dbh->selectrow_array("SELECT SUM(d) FROM p"));
    $dbh->$end;
    show($end, $dbh->selectrow_array("SELECT SUM(d) FROM p"));
}
my $several = $dbh->prepare("SELECT 1; SELECT 2, 3; UPDATE p SET s = 'several' WHERE id = 2; SELECT s FROM p WHERE id = 2");
$several->execute;
do {
    if ($several->{NUM_OF_FIELDS}) { while (my @row = $several->fetchrow_array) { show("several", @row); } }
} while ($several->more_results);
$dbh->do("CREATE TABLE IF NOT EXISTS l (id INT, s VARCHAR(40))");
$dbh->do("DELETE FROM l");
show("loaded", $dbh->do("LOAD DATA LOCAL INFILE '$file' INTO TABLE l"), $dbh->selectrow_array("SELECT COUNT(*), SUM(id), MAX(s) FROM l"));
$dbh->do("SELECT CAST('1x' AS SIGNED)");
show("warnings", @{$dbh->selectall_arrayref("SHOW WARNINGS")->[0]});
show("ping", $dbh->ping ? 1 : 0);
$dbh->disconnect;
