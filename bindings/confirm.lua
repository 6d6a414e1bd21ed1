-- confirm.lua - confirm(question) for recipes; see confirm.c.
local dr = ...
local ask = dr.op("confirm.ask")

dr.global("confirm", function(question) return ask(nil, { question = question }).yes end)
