package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Whether the setting of docs/clients.md is on.
var helped = os.Getenv("SETTING") == "on"

type line struct {
	Round    int     `json:"round"`
	OK       bool    `json:"ok"`
	Error    string  `json:"error,omitempty"`
	SQLState *string `json:"sqlstate"`
}

var output sync.Mutex

// A few requests, a pause, and again, for ever. One line of JSON for each request.
func rounds(request func() error) {
	for round := 1; ; round++ {
		var group sync.WaitGroup
		for i := 0; i < 4; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				report(round, request)
			}()
		}
		group.Wait()
		report(round, request)
		report(round, request)
		milliseconds, err := strconv.Atoi(os.Getenv("PAUSE_MS"))
		if err != nil {
			milliseconds = 1000
		}
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	}
}

func report(round int, request func() error) {
	err := request()
	result := line{Round: round, OK: err == nil}
	if err != nil {
		result.Error = err.Error()
		var coded interface{ SQLState() string }
		if errors.As(err, &coded) {
			state := coded.SQLState()
			result.SQLState = &state
		}
	}
	text, _ := json.Marshal(result)
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(text))
}
