// Slots writes slots.txt: when github.com/robfig/cron/v3 v3.0.1, which Kubernetes uses, comes next around changes of the
// clocks. In an empty folder with this file: go mod init slots && go get github.com/robfig/cron/v3@v3.0.1 && go run .
// Left out is Pacific/Apia in December 2011: robfig's search for a slot on the day that was no day has no end.
package main

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

var turns = []struct{ zone, before string }{
	{"Europe/Berlin", "2025-03-29T23:30:00Z"}, {"Europe/Berlin", "2025-10-25T22:30:00Z"},
	{"America/New_York", "2025-03-09T05:30:00Z"}, {"America/New_York", "2025-11-02T04:30:00Z"},
	{"Australia/Lord_Howe", "2025-04-05T13:30:00Z"}, {"Australia/Lord_Howe", "2025-10-04T14:00:00Z"},
	{"Africa/Casablanca", "2025-02-23T00:30:00Z"}, {"Africa/Casablanca", "2025-04-06T00:30:00Z"},
	{"Pacific/Auckland", "2025-04-05T12:30:00Z"}, {"Pacific/Auckland", "2025-09-27T12:30:00Z"},
	{"America/Sao_Paulo", "2018-11-04T01:30:00Z"}, {"America/Sao_Paulo", "2018-02-18T00:30:00Z"},
	{"America/Asuncion", "2023-10-01T02:30:00Z"}, {"Asia/Kolkata", "2025-10-25T20:00:00Z"},
	{"Etc/UTC", "2025-12-31T22:30:00Z"},
}

var schedules = []string{
	"0 2 * * *", "*/15 * * * *", "30 1 * * *", "45 1,2 * * *", "0 3 * * *", "15 0 * * *", "59 23 * * *",
	"@hourly", "@daily", "@weekly", "@monthly", "@yearly",
	"30 */6 * * 0", "0 12 1 * 1", "10 0 31 * 6", "0 0 */10 * 1", "5/20 2-3 ? * sun", "0 0 29 2 *", "0 0 * 9 *",
}

func main() {
	for _, turn := range turns {
		before, _ := time.Parse(time.RFC3339, turn.before)
		for _, text := range schedules {
			schedule, err := cron.ParseStandard("TZ=" + turn.zone + " " + text) // as the CronJob controller does
			if err != nil {
				panic(err)
			}
			for _, now := range []time.Time{before, before.Add(90*time.Minute + time.Second)} {
				fmt.Printf("%s|%s|%s", turn.zone, text, now.UTC().Format(time.RFC3339))
				for range 3 {
					now = schedule.Next(now)
					fmt.Printf("|%s", now.UTC().Format("2006-01-02T15:04Z"))
				}
				fmt.Println()
			}
		}
	}
}
