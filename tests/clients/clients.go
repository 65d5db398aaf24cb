// Package clients lets real Redis clients talk to dtkv with the options they have by default. None may see an error, and
// none may leave one in the server's log. The package has nothing but tests.
package clients
