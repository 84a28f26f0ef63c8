import { main } from './core/main.ts'

process.exitCode = main(process.argv.slice(2))
