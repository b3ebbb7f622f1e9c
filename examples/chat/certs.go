package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// certificateLife is how long the certificates are valid: they are there to try TLS.
const certificateLife = 30 * 24 * time.Hour

// certificateOptions are the flags of chat certs.
type certificateOptions struct {
	cluster string
	systems int
	hosts   []string
	dir     string
}

// certificates makes a directory with certificates to try TLS.
func certificates(args []string, stdout io.Writer) error {
	o, err := parseCertificates(args, stdout)
	if err != nil {
		return wrongFlag{err}
	}
	if err := makeCertificates(o); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s has ca.pem, client.pem and client.key, and for each of %d members ID.pem and ID.key,\nfor hosts %s.\n"+
		"They are valid for %d days; nobody has the key of the authority any more. Member 1 is started with\n"+
		"  -cert %[5]s -key %[6]s -ca %[7]s\n",
		o.dir, o.systems, strings.Join(o.hosts, ", "), int(certificateLife.Hours()/24),
		filepath.Join(o.dir, "1.pem"), filepath.Join(o.dir, "1.key"), filepath.Join(o.dir, "ca.pem"))
	return nil
}

func parseCertificates(args []string, stdout io.Writer) (certificateOptions, error) {
	var o certificateOptions
	var hosts string
	flags := flag.NewFlagSet("chat certs", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.cluster, "cluster", "chat", "the `name` of the cluster")
	flags.IntVar(&o.systems, "systems", 5, "for how many members, from 1 up")
	flags.StringVar(&hosts, "hosts", "localhost,127.0.0.1,::1", "the `names` and addresses that members are reached under")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stdout, usage)
			flags.SetOutput(stdout)
			flags.PrintDefaults()
			return o, err
		}
		return o, fmt.Errorf("certs: %w; -help names the flags", err)
	}
	o.hosts = strings.Split(hosts, ",")
	switch {
	case flags.NArg() != 1:
		return o, fmt.Errorf("certs: it takes one directory, behind the flags, and not %d", flags.NArg())
	case o.systems < 1 || o.systems > 1000:
		return o, fmt.Errorf("certs: -systems is %d: it must be from 1 to 1000", o.systems)
	case o.cluster == "" || url.PathEscape(o.cluster) != o.cluster:
		return o, fmt.Errorf("certs: -cluster is %q: it takes letters, digits, '.', '_' and '-'", o.cluster)
	}
	for i, host := range o.hosts {
		if o.hosts[i] = strings.TrimSpace(host); o.hosts[i] == "" {
			return o, fmt.Errorf("certs: -hosts is %q: it has an empty name", hosts)
		}
	}
	o.dir = flags.Arg(0)
	return o, nil
}

// authority signs certificates. Its key is in memory only.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
	from        time.Time
}

// makeCertificates makes an authority, and signs with it. Files that are there are left as they are.
func makeCertificates(o certificateOptions) error {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	a := &authority{from: time.Now().Add(-time.Hour)} // clocks differ
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	a.certificate = a.template("authority of " + o.cluster)
	a.certificate.IsCA, a.certificate.BasicConstraintsValid = true, true
	a.certificate.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(o.dir, "ca.pem"), "CERTIFICATE", der); err != nil {
		return err
	}
	for id := range o.systems {
		if err := a.issue(o, strconv.Itoa(id+1), true); err != nil {
			return err
		}
	}
	return a.issue(o, "client", false)
}

func (a *authority) template(name string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: a.from, NotAfter: time.Now().Add(certificateLife),
	}
}

// issue writes the certificate and the key of a member, or of a client: the URI raft://CLUSTER/SYSTEM is what tells them
// apart.
func (a *authority) issue(o certificateOptions, name string, member bool) error {
	template := a.template(name + " of " + o.cluster)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// Answers come by connections that are made to who has asked, so a client serves, too.
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	if member {
		template.URIs = []*url.URL{{Scheme: "raft", Host: o.cluster, Path: "/" + name}}
	}
	for _, host := range o.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(o.dir, name+".pem"), "CERTIFICATE", der); err != nil {
		return err
	}
	return writeNew(filepath.Join(o.dir, name+".key"), "PRIVATE KEY", secret)
}

// writeNew writes a file that must not be there yet.
func writeNew(name, kind string, der []byte) (err error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making certificates: %s is there already; give another directory", name)
	}
	if err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return pem.Encode(file, &pem.Block{Type: kind, Bytes: der})
}
