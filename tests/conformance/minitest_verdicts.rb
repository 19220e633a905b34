# For suites of Ruby's minitest: a reporter that writes a line a test, its verdict and its name, to the file $VERDICTS.
require "minitest"

class VerdictReporter < Minitest::AbstractReporter
  def initialize
    @out = File.open(ENV["VERDICTS"], "a")
    @out.sync = true
  end

  def record(result)
    word = result.skipped? ? "SKIP" : result.passed? ? "PASS" : "FAIL"
    @out.puts("#{word} #{result.klass}##{result.name}")
  end
end

def Minitest.plugin_verdicts_init(_options)
  reporter << VerdictReporter.new
end

Minitest.extensions << "verdicts"
