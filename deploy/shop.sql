-- A small shop. orders.customer_email has no index, on purpose: suimon is to find that out.
CREATE TABLE customers (
	id INT PRIMARY KEY,
	name VARCHAR(80) NOT NULL,
	email VARCHAR(120) NOT NULL,
	city VARCHAR(60) NOT NULL,
	UNIQUE KEY (email)
);
CREATE TABLE products (
	id INT PRIMARY KEY,
	name VARCHAR(80) NOT NULL,
	category INT NOT NULL,
	price DECIMAL(10, 2) NOT NULL,
	stock INT NOT NULL,
	version INT NOT NULL DEFAULT 0,
	description TEXT NOT NULL,
	KEY (category)
);
CREATE TABLE orders (
	id INT PRIMARY KEY,
	customer_id INT NOT NULL,
	customer_email VARCHAR(120) NOT NULL,
	status ENUM('new', 'paid', 'sent', 'returned') NOT NULL,
	total DECIMAL(12, 2) NOT NULL,
	placed_at DATETIME NOT NULL,
	KEY (customer_id)
);
CREATE TABLE order_items (
	order_id INT NOT NULL,
	line INT NOT NULL,
	product_id INT NOT NULL,
	quantity INT NOT NULL,
	price DECIMAL(10, 2) NOT NULL,
	PRIMARY KEY (order_id, line),
	KEY (product_id)
);
-- No unique key on request: a row applied twice must be seen, not refused.
CREATE TABLE access_log (
	id BIGINT AUTO_INCREMENT PRIMARY KEY,
	request CHAR(36) NOT NULL,
	customer_id INT NOT NULL,
	path VARCHAR(200) NOT NULL,
	milliseconds INT NOT NULL,
	seen_at DATETIME(6) NOT NULL
);
INSERT INTO customers
	SELECT seq, CONCAT('Customer ', seq), CONCAT('customer', seq, '@example.com'), ELT(1 + seq % 5, 'Kyōto', 'Ōsaka', 'Lyon', 'Łódź', 'Leeds')
	FROM seq_1_to_2000;
INSERT INTO products
	SELECT seq, CONCAT('Product ', seq), seq % 20, 1 + seq % 90 + 0.95, 100, 0, REPEAT(CONCAT('About product ', seq, '. '), 10)
	FROM seq_1_to_1000;
INSERT INTO orders
	SELECT seq, 1 + seq % 2000, CONCAT('customer', 1 + seq % 2000, '@example.com'), ELT(1 + seq % 4, 'new', 'paid', 'sent', 'returned'),
		10 + seq % 500, '2024-01-01' + INTERVAL seq MINUTE
	FROM seq_1_to_30000;
INSERT INTO order_items
	SELECT o.seq, l.seq, 1 + (o.seq * 7 + l.seq * 131) % 1000, 1 + l.seq % 3, 1 + o.seq % 90 + 0.95
	FROM seq_1_to_30000 o, seq_1_to_3 l;
ANALYZE TABLE customers, products, orders, order_items;
