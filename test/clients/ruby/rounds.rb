# What each program of this folder does: a few requests, a pause, and again, for ever. One line of JSON for each request.
require 'json'

$stdout.sync = true
URL = ENV.fetch('DATABASE_URL')
# Whether the setting of docs/clients.md is on.
HELPED = ENV['SETTING'] == 'on'

def report(round)
  yield
  result = { ok: true }
rescue StandardError => e
  result = { ok: false, error: "#{e.class}: #{e.message}", sqlstate: nil }
ensure
  # One write: threads share the output.
  $stdout.write("#{JSON.generate({ round: round, **result })}\n")
end

# Some requests at once, each in a thread, and two in sequence.
def rounds(at_once: 4, &request)
  (1..).each do |round|
    Array.new(at_once) { Thread.new { report(round, &request) } }.each(&:join)
    (at_once.zero? ? 6 : 2).times { report(round, &request) }
    sleep(ENV.fetch('PAUSE_MS', '1000').to_i / 1000.0)
  end
end
