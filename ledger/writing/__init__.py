"""How a call reaches the log: the law is asked, entries are made, calls share transactions."""
