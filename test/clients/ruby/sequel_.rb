require 'sequel'
require_relative 'rounds'

DB = Sequel.connect(URL.sub('postgresql:', 'postgres:'))
if HELPED
  DB.extension(:connection_validator); DB.pool.connection_validation_timeout = 20
  # Under the age of the rule, which is shorter here.
  DB.pool.connection_validation_timeout = 0.2
end
rounds { DB.fetch('SELECT 1').all }
