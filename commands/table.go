package commands

// Table is everything this server can do.
var Table = []Command{}
