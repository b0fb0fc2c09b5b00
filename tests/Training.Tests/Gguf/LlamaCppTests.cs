using System.Runtime.InteropServices;
using System.Text.Json;
using Gradus.Training.Gguf;
using Gradus.Training.Model;
using Gradus.Training.Tests.Text;
using Gradus.Training.Text;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Gguf;

/// <summary>A file that we wrote, run by llama.cpp: it cuts texts into our tokens and goes on with our text.</summary>
public sealed class LlamaCppTests : IDisposable
{
    private const int Count = 32;

    private static readonly GgufType[] types = [GgufType.F32, GgufType.F16, GgufType.BF16, GgufType.Q8_0, GgufType.Q4_0];

    private static readonly string[] texts = ["Hello, world! 12345", "  two  spaces\n\nand lines\t", "naïve café — 你好 👍🏽", "It's <|im_start|>user\nx<|im_end|>\n", "for (int i = 0; i < 10; i++) { a[i] += 3.14; }"];

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void TheTinyLlamaGoesOnAsOurs()
    {
        var source = Path.Combine(AppContext.BaseDirectory, "fixtures", "models", "llama");
        Directory.CreateDirectory(folder["model"]);
        foreach (var name in (string[])["config.json", "model.safetensors"]) File.Copy(Path.Combine(source, name), Path.Combine(folder["model"], name));
        using (var file = GgufFile.Open(Path.Combine(AppContext.BaseDirectory, "fixtures", "gguf", "tiny-q2_k.gguf"))) GgufTokenizerImport.Write(file, 320, folder["model"]);
        Check(folder["model"]);
    }

    [Fact]
    public void SmolLm2GoesOnAsOurs()
    {
        GgufImport.Convert(SharedFixtures.Files("../models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf")[0], folder["model"]);
        Check(folder["model"]);
    }

    private void Check(string model)
    {
        var tokenizer = Tokenizer.Load(model);
        var template = ChatTemplate.Load(model)!;
        var prompt = template.Render(JsonSerializer.SerializeToElement(new[] { new { role = "user", content = "Why is the sky blue?" } }));
        var all = texts.Append(prompt).ToArray();
        var cases = types.Select(type => new LlamaCase(folder[$"{type}.gguf"], all, tokenizer.Encode(prompt), Count)).ToArray();
        foreach (var (type, one) in types.Zip(cases)) GgufExport.Write(model, one.File, type);
        foreach (var (type, one, answer) in types.Zip(cases, LlamaCpp.Ask(cases)))
        {
            Assert.Equal(ChatTemplateFiles.Read(model)!.Source, answer.Template);
            Assert.Equal(all.Select(text => tokenizer.Encode(text)), answer.Texts);
            GgufImport.Convert(one.File, folder[$"back-{type}"]);
            var gaps = Gaps(folder[$"back-{type}"], one.Prompt, answer.Greedy);
            TestContext.Current.TestOutputHelper?.WriteLine($"{type}: {answer.Greedy.Length} tokens, alike up to {Array.FindIndex(gaps, gap => gap > 0)}, {gaps.Count(gap => gap > 0)} others, largest gap {gaps.Max():G3}");
            Assert.True(answer.Greedy.Length == Count || answer.Greedy[^1] == tokenizer.TokenId("<|im_end|>"));
            Assert.All(gaps, gap => Assert.InRange(gap, 0, Margin(type)));
        }
    }

    /// <summary>
    /// How far our logit of llama.cpp's token may lie below our largest: where they are nearer than this, both are right. llama.cpp rounds the activations to the
    /// weights' type before each product (fp16, bf16, or Q8_0 for quantised weights), we compute in fp32.
    /// </summary>
    private static double Margin(GgufType type) => type switch { GgufType.F32 => 1e-3, GgufType.F16 => 1e-2, GgufType.BF16 => .05, _ => .1 };

    /// <summary>Our largest logit less our logit of the given token, for each token after the prompt; 0 where it is our choice, too.</summary>
    private static double[] Gaps(string model, int[] prompt, int[] tokens)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var ours = CausalLm.Load(model);
        using var batch = TokenBatch.Create([new TokenRow([.. prompt, .. tokens], prompt.Length)]);
        var hidden_TD = ours.Hidden(batch).select(0, 0).narrow(0, prompt.Length - 1, tokens.Length);
        var logits_TV = ours.Logits(hidden_TD).contiguous();
        var logits = MemoryMarshal.Cast<byte, float>(logits_TV.bytes).ToArray();
        return [.. tokens.Select((token, t) => logits.AsSpan(t * ours.Config.VocabularySize, ours.Config.VocabularySize) is var row ? System.Numerics.Tensors.TensorPrimitives.Max(row) - (double)row[token] : 0)];
    }

    public void Dispose() => folder.Dispose();
}
