-- upload.lua - the benchmark's upload of one file.
return recipe {
  name = "upload",
  summary = "Send a file to a host",
  params = {
    host = param.host { required = true },
    from = param.path { required = true },
    to = param.path { required = true },
  },
  run = function(p)
    host(p.host):upload(p.from, p.to)
  end,
}
