lock "~> 3.17"
