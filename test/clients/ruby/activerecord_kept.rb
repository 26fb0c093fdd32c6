# A thread that keeps its connection, as a script or a worker of one's own does.
require 'active_record'
require_relative 'rounds'

ActiveRecord::Base.establish_connection(URL)
rounds(at_once: 0) do
  if HELPED
    ActiveRecord::Base.connection.verify!
  end
  ActiveRecord::Base.connection.execute('SELECT 1')
end
