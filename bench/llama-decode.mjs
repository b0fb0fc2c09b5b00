// Decodes with llama.cpp (node-llama-cpp): node llama-decode.mjs FILE SEQUENCES PROMPT NEW RUNS THREADS. Prints the best and the median of tokens/s over all
// sequences, as bench/Workload counts them: prompts until each sequence has its first token, the others after that, and new tokens over the whole time.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [file, ...numbers] = process.argv.slice(2);
const [count, prompt, fresh, runs, threads] = numbers.map(Number);
const resolved = createRequire(process.cwd() + "/").resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(resolved).href);
const llama = await getLlama({build: "never", gpu: false, progressLogs: false, skipDownload: true, logLevel: LlamaLogLevel.error, maxThreads: threads});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({sequences: count, contextSize: 128, batchSize: Math.max(512, count * prompt), threads});
const sequences = Array.from({length: count}, () => context.getSequence());
const rates = {prefill: [], decode: [], both: []};
for (let run = -1; run < runs; run++) {
    await Promise.all(sequences.map((sequence) => sequence.clearHistory()));
    const start = performance.now();
    let first = start;
    await Promise.all(sequences.map(async (sequence, row) => {
        const tokens = Array.from({length: prompt}, (_, at) => 1000 + ((row * 31 + at * 17) % 40000));
        let made = 0;
        for await (const _ of sequence.evaluate(tokens, {temperature: 1, seed: row, yieldEogToken: true}))
        {
            if (++made === 1) first = performance.now();
            if (made >= fresh) break;
        }
    }));
    const end = performance.now();
    if (run < 0) continue;
    rates.prefill.push(count * prompt * 1000 / (first - start));
    rates.decode.push(count * (fresh - 1) * 1000 / (end - first));
    rates.both.push(count * fresh * 1000 / (end - start));
}
const bestAndMedian = (name) => {
    const sorted = rates[name].sort((a, b) => a - b);
    return `${name} ${sorted.at(-1).toFixed(0)}, ${sorted[Math.floor(sorted.length / 2)].toFixed(0)}`;
};
console.log(`llama.cpp, ${count} sequences, ${prompt} + ${fresh} tokens, best and median: ${["prefill", "decode", "both"].map(bestAndMedian).join(", ")} tokens/s`);
await llama.dispose();
