#!/bin/bash
# From nothing to a LLaSA that reads phonemes and a CTC model over the same codes, on CPUs or a GPU:
#   CODEC=runs/nano-3/model OUT=runs/llasa scripts/train_llasa.sh
# Each step is left out once it is done and resumes where it was killed: run it again. Steps and
# figures are in OUT/chain.log, the figures alone in OUT/*.json.
#   CODEC      what makes the codes (nano)
#   OUT        where all goes (runs/llasa)
#   PYTHON     with open-xcodec2[llasa,extract,evaluate] (python)
#   SYNTHESIS  a Python that has scripts/nano_data/requirements.txt, too (PYTHON)
#   DEVICE     cpu: one thread; or gpu: bfloat16, larger batches, fewer steps (cpu)
#   FIRST, ALL, PRESETS   hours of hibari's voice at first and in the end, and of the three bent voices
#              that the model's own presets are (5, 20, 6)
#   MANY, OTHERS   hours of pseudo-speakers and of Kokoro's voices, for the CTC model; Kokoro's are
#              dear: 1.8 times real time (5, 1.5)
#   STEPS1, STEPS2, CTC_STEPS  of one voice, of all, and of the CTC model (12000, 40000, 2500)
#   TRIAL      CPU seconds of each of the short trials that choose the format; 0 for none (300)
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
CODEC=${CODEC:-nano} OUT=${OUT:-runs/llasa} PYTHON=${PYTHON:-python} DEVICE=${DEVICE:-cpu}
SYNTHESIS=${SYNTHESIS:-$PYTHON} CORPUS=${CORPUS:-$OUT/corpus} CACHE=${CACHE:-$OUT/packages}
FIRST=${FIRST:-5} ALL=${ALL:-20} PRESETS=${PRESETS:-6} MANY=${MANY:-5} OTHERS=${OTHERS:-1.5}
STEPS1=${STEPS1:-12000} STEPS2=${STEPS2:-40000} CTC_STEPS=${CTC_STEPS:-2500} TRIAL=${TRIAL:-300}
export PYTHONPATH=$here/src:$here/scripts OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ "$DEVICE" = gpu ]; then
  machine=(precision=bfloat16 batch=16 learning_rate=3e-3)
else
  machine=(precision=bfloat16 trainer.use_cpu=true)
fi
mkdir -p "$OUT/done" && exec 9> "$OUT/.lock" && flock -n 9 || { echo "$OUT is being worked on"; exit 1; }

step() { # NAME COMMAND...: once
  local name=$1; shift
  [ -e "$OUT/done/$name" ] && return
  echo "$(date '+%F %T') $name: $*" >> "$OUT/chain.log"
  if "$@" >> "$OUT/chain.log" 2>&1; then
    touch "$OUT/done/$name"
  else
    echo "$(date '+%F %T') $name failed" >> "$OUT/chain.log"; exit 1
  fi
}
corpus() { # KIND HOURS
  "$SYNTHESIS" "$here/scripts/prepare_llasa_corpus.py" --out "$CORPUS" --model "$CODEC" \
    --cache "$CACHE" --hours "$1=$2"
}
rows() { # KIND ROWS OPTION...
  local kind=$1 rows=$2; shift 2
  "$PYTHON" -m xcodec2.cli llasa prepare "$CORPUS/$kind/train" "$OUT/$rows" --tokenizer phonemes \
    --track --length 1024 --validation 0.02 "$@"
}
trial() { # NAME ROWS KIND CHANGE...
  local name=$1 rows=$2 kind=$3; shift 3
  "$PYTHON" "$here/benchmarks/llasa_rows.py" "$OUT/$rows" length=1024 validate_packs=12 "$@" \
    --seconds "$TRIAL" --kinds "$kind" > "$OUT/trial-$name.json"
}
train() { # NAME STEPS ROWS CHANGE...
  local name=$1 steps=$2 rows=$3 resume=; shift 3
  compgen -G "$OUT/$name/checkpoint-*" > /dev/null && resume=--resume
  "$PYTHON" -m xcodec2.cli llasa train phonemes out="$OUT/$name" rows="$rows" steps="$steps" \
    audio_samples=0 trainer.disable_tqdm=true log_every=100 "${machine[@]}" "$@" $resume
}
gates() { # NAME KIND [--clips]
  "$PYTHON" "$here/scripts/llasa_gates.py" "$OUT/$1/model" "$CORPUS/$2/heldout" --codec "$CODEC" \
    --sentences 40 --temperatures 0 0.4 0.8 --json "$OUT/gates-$1-$2.json" ${3:-}
}

mkdir -p "$CACHE"
step corpus-first corpus hibari "$FIRST"
step rows-first rows hibari rows-first
if [ "$TRIAL" != 0 ]; then
  step trial-plain trial plain rows-first bytes code_noise=0
  step trial-noise trial noise rows-first bytes code_noise=0.2
  step trial-digits trial digits rows-first digits code_noise=0
fi
noise=${NOISE:-0.2}
step one-voice train one-voice "$STEPS1" "[\"$OUT/rows-first\"]" code_noise="$noise" copy_steps=300
(step gates-one-voice gates one-voice hibari) || true
step corpus-pseudo corpus pseudo "$MANY"
step corpus-kokoro corpus kokoro "$OTHERS"
step ctc "$PYTHON" -m xcodec2.cli llasa ctc "$CORPUS/hibari/train" "$CORPUS/pseudo/train" \
  "$CORPUS/kokoro/train" "$OUT/ctc" --steps "$CTC_STEPS" --heldout "$CORPUS/kokoro/heldout"
step corpus-all corpus hibari "$ALL"
step rows-all rows hibari rows-all
step corpus-presets corpus presets "$PRESETS"
step rows-presets rows presets rows-presets --voices
step voices train voices "$STEPS2" "[\"$OUT/rows-all\", \"$OUT/rows-presets\"]" \
  base="$OUT/one-voice/model" shape={} code_noise="$noise" copy_steps=0 learning_rate=1e-3 \
  one_voice=false
(step gates-voices gates voices hibari) || true
(step gates-clips gates voices presets --clips) || true
echo "$(date '+%F %T') all done" >> "$OUT/chain.log"
