package main

import (
	"bufio"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// A step is one request. The digits at PatchAt in its body are replaced by a number that rises.
type step struct {
	Verb    string
	Path    string
	Body    string // a file
	PatchAt int    `json:"patch_at"` // negative: the body is always the same
	Digits  int
	content []byte
	sums    []string
}

type connection struct {
	Steps []*step
	First int // the first number
	Times int // how often all steps are taken
}

type job struct {
	Port        int
	Header      string // lines that every request has, each with its CRLF
	Connections []*connection
}

type result struct {
	Seconds   float64
	Latencies []float64
	Statuses  map[string]int
}

// load prepares every body's MD5, then sends everything, a goroutine and a connection for each.
func load(input io.Reader, output io.Writer) {
	var asked job
	must(json.NewDecoder(input).Decode(&asked))
	sockets := make([]net.Conn, len(asked.Connections))
	for i, connection := range asked.Connections {
		connection.prepare()
		socket, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", asked.Port))
		must(err)
		sockets[i] = socket
	}
	results := make([]result, len(sockets))
	var group sync.WaitGroup
	started := time.Now()
	for i, connection := range asked.Connections {
		group.Add(1)
		go func() {
			defer group.Done()
			results[i] = connection.send(sockets[i], asked.Header)
		}()
	}
	group.Wait()
	must(json.NewEncoder(output).Encode(joined(results, time.Since(started).Seconds())))
}

func joined(results []result, seconds float64) result {
	all := result{Seconds: seconds, Statuses: map[string]int{}}
	for _, one := range results {
		all.Latencies = append(all.Latencies, one.Latencies...)
		for status, count := range one.Statuses {
			all.Statuses[status] += count
		}
	}
	return all
}

func (c *connection) prepare() {
	for _, s := range c.Steps {
		if s.Body == "" {
			continue
		}
		content, err := os.ReadFile(s.Body)
		must(err)
		s.content = content
		for i := 0; i < c.Times; i++ {
			if i == 0 || s.PatchAt >= 0 {
				sum := md5.Sum(s.patched(c.First + i))
				s.sums = append(s.sums, base64.StdEncoding.EncodeToString(sum[:]))
			}
		}
	}
}

func (s *step) patched(number int) []byte {
	if s.PatchAt >= 0 {
		copy(s.content[s.PatchAt:], fmt.Sprintf("%0*d", s.Digits, number))
	}
	return s.content
}

func (c *connection) send(socket net.Conn, header string) result {
	defer socket.Close()
	found := result{Statuses: map[string]int{}}
	reader := bufio.NewReaderSize(socket, 1<<16)
	for i := 0; i < c.Times; i++ {
		for _, s := range c.Steps {
			request := s.head(header, i)
			body := s.patched(c.First + i)
			started := time.Now()
			buffers := net.Buffers{request, body}
			_, err := buffers.WriteTo(socket)
			must(err)
			response, err := http.ReadResponse(reader, nil)
			must(err)
			_, err = io.Copy(io.Discard, response.Body)
			must(err)
			found.Latencies = append(found.Latencies, time.Since(started).Seconds())
			found.Statuses[fmt.Sprint(response.StatusCode)]++
		}
	}
	return found
}

func (s *step) head(header string, round int) []byte {
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s", s.Verb, s.Path, header)
	if s.Body != "" {
		sum := s.sums[min(round, len(s.sums)-1)]
		text += fmt.Sprintf(
			"Content-Type: application/json\r\nContent-MD5: %s\r\nContent-Length: %d\r\n",
			sum, len(s.content))
	}
	return []byte(text + "\r\n")
}
