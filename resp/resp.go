// Package resp speaks the Redis wire protocol: bytes to arguments, replies to bytes.
//
// A [Reader] turns what a client sent into commands, inline or multibulk, and holds the client to [Limits]. An [Args]
// walks one command's arguments. A [Writer] appends replies in the version of the protocol, 2 or 3, that the
// connection has chosen; an [Error] is a reply that says no.
//
// # What it promises
//
// Whatever a client sends, a Reader returns commands, asks for more, or fails for good with an error that says why; it
// never panics. It allocates for bytes that have arrived, never for a count or a length that was merely declared, and it
// looks at each byte a bounded number of times however the network cut the stream into pieces. Ordinary commands and
// replies are read and written without allocating.
//
// # Concurrency
//
// Nothing here locks, starts a goroutine or knows what a socket is. A Reader, an Args and a Writer belong to the one
// goroutine that serves their connection.
package resp
