package main

import "github.com/spf13/cobra"

// group is commands that belong together in the help.
type group struct {
	id   string
	list []*cobra.Command
}

// commands lists every sub-command, in the order in which they are met.
func commands(c *console) []group {
	return []group{
		{"begin", []*cobra.Command{demoCommand(c), initCommand(c), checkCommand(c), schemaCommand(c), doctorCommand(c), planCommand(c), manCommand(c), versionCommand(c)}},
		{"run", []*cobra.Command{serveCommand(c), applyCommand(c), importCommand(c), databaseCommand(c), keysCommand(c), backupCommand(c), restoreCommand(c), verifyBackupCommand(c), migrateStoreCommand(c), digestCommand(c), benchCommand(c)}},
		{"ask", []*cobra.Command{sendCommand(c), personCommand(c), segmentCommand(c), journeyCommand(c), messageCommand(c), eventCommand(c), sourceCommand(c), rejectedCommand(c), destinationCommand(c), alertCommand(c), keyCommand(c), consentCommand(c), auditCommand(c), privacyCommand(c)}},
	}
}
