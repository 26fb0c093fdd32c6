import { Sequelize } from 'sequelize'
import { rounds } from './rounds.mjs'

const db = new Sequelize(process.env.DATABASE_URL, { logging: false })
await rounds(() => db.query('select 1'))
