# As a web server does: each request gives its connection back to the pool.
require 'active_record'
require_relative 'rounds'

ActiveRecord::Base.establish_connection(URL)
rounds do
  ActiveRecord::Base.connection_pool.with_connection { |connection| connection.execute('SELECT 1') }
end
