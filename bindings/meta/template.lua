---@meta
-- Texts with names in them. No logic: what decides stands in the recipe.

---@class deployrun.Template
template = {}

---The text with each {{ name }} replaced by its value; {{ a.b }} goes into tables. \{{ stands for two braces. Values are put in as
---they are: quote them for the file they go into.
---
---Fails: template.unknown (no value; line and the near name are told), template.syntax, recipe.argument.
---@param text string
---@param values table<string, any>
---@return string
function template.render(text, values) end

---The same with the text of a file of this machine. A query. Fails also: as fs.read.
---@param path string
---@param values table<string, any>
---@return string
function template.file(path, values) end
