package resp

import (
	"strings"
	"testing"
)

func TestRefusalsReadAsInRedis(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct {
		name string
		err  *Error
		want string
	}{
		{"unknown command", UnknownCommand(argv("foo")), "ERR unknown command 'foo', with args beginning with: "},
		{"unknown command with arguments", UnknownCommand(argv("foo", "a", "b c")), "ERR unknown command 'foo', with args beginning with: 'a' 'b c' "},
		{"unknown command with a long name", UnknownCommand(argv(long)), "ERR unknown command '" + long[:128] + "', with args beginning with: "},
		{"unknown command with a long argument", UnknownCommand(argv("foo", long, "b")), "ERR unknown command 'foo', with args beginning with: '" + long[:128] + "' "},
		{"unknown command with two long arguments", UnknownCommand(argv("foo", long[:100], long, "c")), "ERR unknown command 'foo', with args beginning with: '" + long[:100] + "' '" + long[:25] + "' "},
		{"unknown command with empty arguments", UnknownCommand(argv("foo", "", "")), "ERR unknown command 'foo', with args beginning with: '' '' "},
		{"unknown command of nothing", UnknownCommand(nil), "ERR unknown command '', with args beginning with: "},
		{"unknown subcommand", UnknownSubcommand("client", []byte("fOo")), "ERR unknown subcommand 'fOo'. Try CLIENT HELP."},
		{"unknown long subcommand", UnknownSubcommand("CLIENT", []byte(long)), "ERR unknown subcommand '" + long[:128] + "'. Try CLIENT HELP."},
		{"arity", WrongArity("GET"), "ERR wrong number of arguments for 'get' command"},
		{"arity of a subcommand", WrongArity("client|setname"), "ERR wrong number of arguments for 'client|setname' command"},
		{"syntax", ErrSyntax, "ERR syntax error"},
		{"integer", ErrNotInteger, "ERR value is not an integer or out of range"},
		{"float", ErrNotFloat, "ERR value is not a valid float"},
		{"type", ErrWrongType, "WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"authentication", ErrNoAuth, "NOAUTH Authentication required."},
		{"version", ErrProtocolVersion, "NOPROTO unsupported protocol version"},
		{"format", Errorf("TRYAGAIN", "%d writes wait", 7), "TRYAGAIN 7 writes wait"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.err.Error(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
