from stateroom.main import main

main(prog_name="stateroom")
