-- classify.lua - postgres.classify as recipes see it. Needs no server.
local spec = require "spec"

local cases = {
  { "a statement is judged with its line, locks and reason", function(t)
    local result = postgres.classify("-- one\nALTER TABLE orders DROP COLUMN note;")
    local one = result.statements[1]
    t.equal(result.class, "breaking")
    t.equal(one.line, 2)
    t.equal(one.text, "ALTER TABLE orders DROP COLUMN note")
    t.equal(one.kind, "drop-column")
    t.equal(one.locks.orders, "ACCESS EXCLUSIVE")
    t.equal(one.blocks, "reads")
    t.equal(one.loses, "orders.note: the column's values")
    t.equal(one.transaction, "inside")
    t.equal(one.hazards[1].hazard, "drop-column")
    t.equal(one.rewrite, false)
    t.equal(one.alone, nil)
  end },
  { "what must run alone says why", function(t)
    local one = postgres.classify("CREATE INDEX CONCURRENTLY i ON orders (note)").statements[1]
    t.equal(one.transaction, "alone")
    t.equal(one.alone, "CREATE INDEX CONCURRENTLY works in several transactions of its own")
  end },
  { "scripts in a row know what the earlier ones created", function(t)
    local results = postgres.classify { "CREATE TABLE t (a int)", "CREATE INDEX ON t (a)", "CREATE INDEX ON u (a)" }
    t.equal(#results, 3)
    t.equal(#results[2].statements[1].hazards, 0)
    t.equal(results[3].statements[1].hazards[1].hazard, "create-index")
  end },
  { "old types come from the catalog that is given", function(t)
    local sql = "ALTER TABLE shop.orders ALTER note TYPE text"
    t.equal(postgres.classify(sql).class, "unknown")
    local catalog = { ["shop.orders"] = { note = "character varying(20)" } }
    t.equal(postgres.classify(sql, { catalog = catalog }).class, "compatible")
  end },
  { "Django's AddField with a default is breaking", function(t)
    local result = postgres.classify [[
BEGIN;
--
-- Add field seats to tour
--
ALTER TABLE "tours_tour" ADD COLUMN "seats" integer DEFAULT 0 NOT NULL;
ALTER TABLE "tours_tour" ALTER COLUMN "seats" DROP DEFAULT;
COMMIT;
]]
    t.equal(result.class, "breaking")
    t.equal(result.statements[1].control, "begin")
    t.equal(result.statements[3].hazards[1].hazard, "drop-default-required")
  end },
  { "a comment accepts a hazard", function(t)
    local result = postgres.classify("DROP TABLE t; -- deployrun: accept drop-table: empty since May")
    t.equal(result.statements[1].hazards[1].accepted, "empty since May")
    t.equal(result.statements[1].accepted[1].line, 1)
    t.equal(#result.problems, 0)
  end },
  { "advice has a rule and a line", function(t)
    local lint = postgres.classify("SELECT 1;\nCREATE TABLE t (a int)").lint
    t.equal(lint[1].rule, "idempotent")
    t.equal(lint[1].line, 2)
  end },
  { "no SQL is an error with its place", function(t)
    local problem = t.fails("postgres.syntax", postgres.classify, "SELECT 1;\nSELEC 2")
    t.matches(problem and problem.message, "^line 2, column 1: syntax error")
    t.fails("postgres.meta_command", postgres.classify, "\\i other.sql")
    t.fails("postgres.copy_data", postgres.classify, "COPY t FROM stdin;\n1\n\\.\n")
    t.fails("postgres.encoding", postgres.classify, "SELECT '\xFF'")
  end },
  { "wrong arguments are named", function(t)
    t.fails("recipe.argument", postgres.classify)
    t.fails("recipe.argument", postgres.classify, {})
    local problem = t.fails("recipe.argument", postgres.classify, { "SELECT 1", 2 })
    t.matches(problem and problem.message, "script 2 is a number")
    t.fails("recipe.option", postgres.classify, "SELECT 1", { catalogue = {} })
    t.fails("recipe.argument", postgres.classify, "SELECT 1", { catalog = "orders" })
  end },
}

return spec.recipe("classify", cases)
