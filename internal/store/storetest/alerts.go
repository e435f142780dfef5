package storetest

import (
	"errors"
	"testing"
	"time"

	"rapport/internal/alert"
	"rapport/internal/store"
)

func testAlerts(t *testing.T, s store.State) {
	row := func(name, about string) alert.Row {
		return alert.Row{Alert: alert.Alert{Name: name, About: about, Severity: alert.Danger, Text: "what", Do: "do", Since: noon}, Mail: alert.Beginning}
	}
	a, b, c := row("disk_full", ""), row("destination_down", "crm"), row("destination_down", "Bi")
	write(t, s, func(tx store.Tx) error {
		x := tx.Alert()
		err := errors.Join(x.PutAlert(a), x.PutAlert(b), x.PutAlert(c))
		within, listErr := x.Alerts()
		same(t, "within the transaction", within, []alert.Row{c, b, a})
		return errors.Join(err, listErr)
	})
	b.Severity, b.Text, b.Do, b.Ended, b.Mail = alert.Warning, "else", "other", noon.Add(time.Hour), alert.End
	write(t, s, func(tx store.Tx) error {
		x := tx.Alert()
		return errors.Join(x.PutAlert(b), x.DropAlert("disk_full", ""), x.DropAlert("disk_full", "nobody"))
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Alert().Alerts()
		same(t, "alerts", got, []alert.Row{c, b})
		if tx.Alert().PutAlert(a) == nil || tx.Alert().DropAlert(b.Name, b.About) == nil {
			t.Error("a reader writes")
		}
		return err
	})
}
