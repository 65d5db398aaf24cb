package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// CA signs certificates, which live in files as long as the test.
type CA struct {
	File string // its own certificate
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last atomic.Int64
}

// NewCA makes a CA that nobody else knows.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{dir: t.TempDir()}
	ca.File = filepath.Join(ca.dir, "ca.crt")
	ca.key = newKey(t)
	template := ca.template("test CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ca.key.PublicKey, ca.key)
	if err == nil {
		ca.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, ca.File, "CERTIFICATE", der)
	return ca
}

func (a *CA) template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.last.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// Issue writes a certificate and its key, good for those uses and for loopback, and returns their paths. A second one of
// that name replaces the first.
func (a *CA) Issue(t testing.TB, name string, uses ...x509.ExtKeyUsage) (cert, key string) {
	t.Helper()
	template := a.template(name)
	template.ExtKeyUsage = uses
	template.DNSNames, template.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	own := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	writePEM(t, key, "PRIVATE KEY", secret)
	writePEM(t, cert, "CERTIFICATE", der)
	return cert, key
}

// Node issues a certificate of a node.
func (a *CA) Node(t testing.TB, name string) (cert, key string) {
	t.Helper()
	return a.Issue(t, name, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// Client issues a certificate that is good for clients only, and returns how they use it.
func (a *CA) Client(t testing.TB, name string) *tls.Config {
	t.Helper()
	cert, key := a.Issue(t, name, x509.ExtKeyUsageClientAuth)
	return a.Config(t, cert, key)
}

// Config is how the owner of a certificate connects to servers of this CA; without paths, how somebody without one does.
func (a *CA) Config(t testing.TB, cert, key string) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	c.RootCAs.AddCert(a.cert)
	if cert == "" {
		return c
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// writePEM replaces the file in one step.
func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}
