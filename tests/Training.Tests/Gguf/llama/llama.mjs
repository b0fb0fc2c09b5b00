// Loads GGUF files with llama.cpp and says what it makes of them. Reads one JSON object from standard input,
// {cases: [{file, texts: [..], prompt: [ids], count}]}, and writes a list of {template, texts: [[ids]..], greedy: [ids]}.
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

let input = "";
for await (const chunk of process.stdin) input += chunk;
const llama = await getLlama({build: "never", gpu: false, progressLogs: false, skipDownload: true, logLevel: LlamaLogLevel.error, maxThreads: 2});
const results = [];
for (const {file, texts, prompt, count} of JSON.parse(input).cases) {
    const model = await llama.loadModel({modelPath: file});
    // The cache in fp32: llama.cpp's default, fp16, would be the largest difference.
    const context = await model.createContext({contextSize: 256, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32", flashAttention: false});
    const greedy = [];
    for await (const token of context.getSequence().evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
        greedy.push(token);
        if (greedy.length >= count || model.isEogToken(token)) break;
    }
    results.push({
        template: model.fileInfo.metadata.tokenizer.chat_template ?? null,
        texts: texts.map((text) => [...model.tokenize(text, true)]),
        greedy
    });
    await model.dispose();
}
process.stdout.write(JSON.stringify(results));
await llama.dispose();
