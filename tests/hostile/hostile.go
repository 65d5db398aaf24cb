// Package hostile is what clients do to a server by mistake or on purpose: broken packets, bytes in drips, more than is
// allowed of anything, other protocols, and not reading. Each gets a clear answer or is disconnected, costs bounded memory,
// and harms nobody else. The package has nothing but tests.
package hostile
