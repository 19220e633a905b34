# Completion of suimon's commands and options for bash.
_suimon() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]:-} words=""
	COMPREPLY=()

	case $prev in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--primary | --http | --token | --limit | --from | --expect | --rollback | --scratch | --server | --user | --schema | --rows | --seconds | --interval)
		return
		;;
	--tls)
		mapfile -t COMPREPLY < <(compgen -W "disabled preferred required" -- "$cur")
		return
		;;
	esac
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="check digest top queue push-config advise health ready version help run -c --config --primary --help --version"
	else
		case $verb in
		check | run) words="-c --config --primary" ;;
		advise) words="-c --http --token --verify --scratch --server --user --tls --rows --seconds" ;;
		top) words="-c --http --token --user --schema --interval --once" ;;
		health | ready) words="-c --http --token" ;;
		queue)
			if [ "$COMP_CWORD" -eq 2 ]; then
				words="ls show retry discard bury pause resume drain check skip"
			else
				words="-c --http --token --dir --json --limit --from --pending"
			fi
			;;
		push-config)
			words="-c --show --history --rollback --expect --dry-run"
			[[ $cur == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			;;
		digest) words="-" ;;
		-*) words="-c --config --primary" ;;
		esac
	fi
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _suimon suimon
