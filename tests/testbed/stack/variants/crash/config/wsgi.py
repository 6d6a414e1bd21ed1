raise RuntimeError("this version cannot be imported")
