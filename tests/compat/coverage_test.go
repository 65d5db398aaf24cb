package compat

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// A command that no transcript sends may answer anything. The server itself says which commands there are.
func TestEveryCommandHasATranscript(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	var sent bytes.Buffer
	for _, tr := range transcripts(t) {
		for _, x := range tr.exchanges {
			sent.Write(bytes.ToLower(x.send))
		}
	}
	list := strings.Split(c.Must(t, "COMMAND", "LIST"), "\r\n")
	for i := 2; i < len(list); i += 2 { // *n, then for each name its length and the name; CLIENT ID is client|id
		var want []byte
		for word := range strings.SplitSeq(list[i], "|") {
			want = append(want, harness.Command(word)[len("*1\r\n"):]...)
		}
		if !bytes.Contains(sent.Bytes(), want) {
			t.Errorf("no transcript sends %s", strings.ToUpper(strings.ReplaceAll(list[i], "|", " ")))
		}
	}
}
