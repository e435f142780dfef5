//go:build race

package rule

// raceDetector says whether the tests run under the race detector.
const raceDetector = true
