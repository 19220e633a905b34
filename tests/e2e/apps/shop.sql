CREATE TABLE author (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL);
CREATE TABLE book (id INT PRIMARY KEY, author_id INT NOT NULL, title VARCHAR(80) NOT NULL, isbn VARCHAR(20) NOT NULL,
	published DATETIME NOT NULL, KEY book_author (author_id), KEY book_isbn (isbn), KEY book_published (published));
CREATE TABLE review (id INT PRIMARY KEY, book_ref INT NOT NULL, stars INT NOT NULL, words INT NOT NULL, written DATETIME NOT NULL);
CREATE TABLE setting (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, value VARCHAR(80) NOT NULL, UNIQUE KEY setting_name (name));
INSERT INTO author SELECT seq, CONCAT('Author ', seq) FROM seq_1_to_2000;
INSERT INTO book SELECT seq, 1 + seq * 7 % 2000, CONCAT('Title ', seq), CONCAT(9780000000 + seq), '2015-01-01' + INTERVAL seq * 97 MINUTE
	FROM seq_1_to_20000;
INSERT INTO review SELECT seq, 1 + seq * 11 % 20000, 1 + seq * 13 % 5, seq * 17 % 900, '2018-01-01' + INTERVAL seq MINUTE
	FROM seq_1_to_60000;
INSERT INTO setting SELECT seq, CONCAT('setting ', seq), CONCAT('value ', seq) FROM seq_1_to_20;
ANALYZE TABLE author, book, review, setting
