-- What code written for world.sql does. A statement that is judged compatible must leave all of it working, one that is
-- judged breaking must make some of it fail.
INSERT INTO customers (id, name, code, email) VALUES (900, 'twenty characters ok', 'abcd', 'a@b') ON CONFLICT (id) DO NOTHING;
UPDATE customers SET name = 'twenty characters no' WHERE id = 2;
SELECT id, name, code, email, span FROM customers WHERE id = 1;
INSERT INTO orders (customer, amount, note, short, code, small) VALUES (1, 12345678.25, 'twenty characters ok', '12345', 'abcd', 9);
INSERT INTO orders (customer) VALUES (NULL);
UPDATE orders SET note = upper(note), words = 'more than ten characters', amount = amount + 0.01, tags = ARRAY['a'] WHERE id = 1;
SELECT id, customer, amount, note, short, words, code, flags, small, big, ratio, at, zoned, took, host, body, tags, state, rank, twice FROM orders;
SELECT at - interval '1 hour', date_trunc('day', at)::timestamp, note || '', amount * 2, big + 1, body ->> 'a' FROM orders;
INSERT INTO orders (state, at) VALUES ('paid', now()::timestamp) RETURNING id, twice;
DELETE FROM orders WHERE id = 5;
INSERT INTO items (id, label) VALUES (7, 'seven');
UPDATE items SET label = 'uno' WHERE id = 1;
SELECT id, label FROM items;
SELECT label FROM labels;
SELECT label, n FROM label_counts;
SELECT tax(1), nextval('tickets'), 'paid'::state, 1::positive, ROW(1, 2)::pair, (ROW(1, 2)::pair).b;
CALL tidy();
INSERT INTO events (day, what) VALUES ('2026-01-20', 'y');
SELECT 1 / count(*) FROM events WHERE day = '2026-01-15';
SELECT what FROM events_1;
SELECT a FROM base;
SELECT a FROM derived;
SELECT 1 / has_table_privilege('clerk', 'items', 'SELECT')::integer;
INSERT INTO base (a) VALUES (1);
