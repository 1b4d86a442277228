# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_conclave_global_optspecs
    string join \n config= log-file= list-devices cpu-pictures h/help V/version
end

function __fish_conclave_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_conclave_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_conclave_using_subcommand
    set -l cmd (__fish_conclave_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c conclave -n "__fish_conclave_needs_command" -l config -d 'Folder of settings, identity and contacts' -r -F
complete -c conclave -n "__fish_conclave_needs_command" -l log-file -d 'Write the log here instead of to standard error (what is logged: RUST_LOG)' -r -F
complete -c conclave -n "__fish_conclave_needs_command" -l list-devices -d 'List cameras, microphones and speakers, and end'
complete -c conclave -n "__fish_conclave_needs_command" -l cpu-pictures -d 'Convert pictures without the graphics card (where its driver shows them wrongly)'
complete -c conclave -n "__fish_conclave_needs_command" -s h -l help -d 'Print help'
complete -c conclave -n "__fish_conclave_needs_command" -s V -l version -d 'Print version'
complete -c conclave -n "__fish_conclave_needs_command" -a "call" -d 'Hold a meeting without a window'
complete -c conclave -n "__fish_conclave_needs_command" -a "log" -d 'Check saved meeting logs'
complete -c conclave -n "__fish_conclave_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c conclave -n "__fish_conclave_using_subcommand call" -l name -d 'Name that the others see' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l camera -d '`test` (built-in moving picture), a .y4m file, a device\'s name, or `none`' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l mic -d '`test` (built-in voice), a .wav file, a device\'s name, or `none`' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l speaker -d '`default`, a device\'s name, or `none`' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l seconds -d 'How long the call lasts once it is connected' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l wait -d 'How long to wait for it to connect' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l relay -d 'Use this relay instead of the one inside the app (hosting only): `wss://host` or `host:port` with TLS, `ws://host:port` without' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l video -d 'Size and rate of the picture' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l watch-height -d 'Ask the others for pictures of no more rows than this many need; 0: for none' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l report -d 'Write a JSON report here' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l snapshot -d 'Write the last picture of the first peer here, as PNG' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l record-video -d 'Write every decoded picture of the first peer here, as Y4M' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l record-audio -d 'Write all that is heard here, as WAV' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l record-encoded -d 'Write the encoded pictures as sent, before sealing, here (H.264 Annex B)' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l log -d 'Write the signed meeting log here (`conclave log verify` reads it)' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l remove -d 'Send out whoever has this name, so many seconds after the first came in (hosting only)' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l turn -d 'TURN server to pass media on: HOST:PORT over UDP, turn:HOST:PORT?transport=tcp over TCP, turns:HOST:PORT over TLS' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l turn-user -d 'User name at the TURN server' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l turn-password-file -d 'File whose first line is the password at the TURN server' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l turn-ca -d 'File with the certificate authority of your TURN server (PEM), if it has its own' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l only-relay -d 'Use no other relay and TURN server than this (can be repeated)' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l only-network -d 'Use only addresses in this network, such as 192.0.2.0/24 (can be repeated)' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l only-country -d 'Use only addresses in this country, such as DE, by the table of countries (can be repeated)' -r
complete -c conclave -n "__fish_conclave_using_subcommand call" -l country-table -d 'Table that says which addresses belong to which country, `low,high,CC` a line' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l config -d 'Folder of settings, identity and contacts' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l log-file -d 'Write the log here instead of to standard error (what is logged: RUST_LOG)' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand call" -l admit-all -d 'Let everyone in who knows the link (hosting only); without it nobody is let in'
complete -c conclave -n "__fish_conclave_using_subcommand call" -l hand-over -d 'Leave the meeting to whoever takes over, instead of ending it for everyone (hosting only)'
complete -c conclave -n "__fish_conclave_using_subcommand call" -l hide-address -d 'Send and receive through the TURN server only, and show others no address of this machine'
complete -c conclave -n "__fish_conclave_using_subcommand call" -s h -l help -d 'Print help'
complete -c conclave -n "__fish_conclave_using_subcommand log; and not __fish_seen_subcommand_from verify help" -l config -d 'Folder of settings, identity and contacts' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand log; and not __fish_seen_subcommand_from verify help" -l log-file -d 'Write the log here instead of to standard error (what is logged: RUST_LOG)' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand log; and not __fish_seen_subcommand_from verify help" -s h -l help -d 'Print help'
complete -c conclave -n "__fish_conclave_using_subcommand log; and not __fish_seen_subcommand_from verify help" -f -a "verify" -d 'Check saved meeting logs, and whether two members saw the same meeting'
complete -c conclave -n "__fish_conclave_using_subcommand log; and not __fish_seen_subcommand_from verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c conclave -n "__fish_conclave_using_subcommand log; and __fish_seen_subcommand_from verify" -l config -d 'Folder of settings, identity and contacts' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand log; and __fish_seen_subcommand_from verify" -l log-file -d 'Write the log here instead of to standard error (what is logged: RUST_LOG)' -r -F
complete -c conclave -n "__fish_conclave_using_subcommand log; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c conclave -n "__fish_conclave_using_subcommand log; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check saved meeting logs, and whether two members saw the same meeting'
complete -c conclave -n "__fish_conclave_using_subcommand log; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c conclave -n "__fish_conclave_using_subcommand help; and not __fish_seen_subcommand_from call log help" -f -a "call" -d 'Hold a meeting without a window'
complete -c conclave -n "__fish_conclave_using_subcommand help; and not __fish_seen_subcommand_from call log help" -f -a "log" -d 'Check saved meeting logs'
complete -c conclave -n "__fish_conclave_using_subcommand help; and not __fish_seen_subcommand_from call log help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c conclave -n "__fish_conclave_using_subcommand help; and __fish_seen_subcommand_from log" -f -a "verify" -d 'Check saved meeting logs, and whether two members saw the same meeting'
