// The child `check --folder F --threads N --memory B [--gguf G --most M]`: makes the folder of a GGUF file where one is named, loads a model once, in a process of its own whose memory is bounded by the kernel, computes one forward pass, and
// prints what it found as one line of JSON. Whatever kills it costs this check alone. It ends with its parent.
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Gradus.Training;
using Gradus.Training.Gguf;
using Gradus.Training.Model;
using Gradus.Training.Text;
using static TorchSharp.torch;

namespace Gradus.Api.Models;

internal static class CheckProcess
{
    private const int WritableMemory = 2; // RLIMIT_DATA: private memory that can be written; files that are mapped do not count
    private const string Text = "Hello! What is 1 + 2?";

    /// <summary>The arguments after <c>check</c>.</summary>
    /// <returns>0; the line on standard output says the rest.</returns>
    public static int Run(string[] args)
    {
        if (args is not ["--folder", var folder, "--threads", var threads, "--memory", var bytes, .. var more])
        {
            Console.Error.WriteLine("A check is started by the service: check --folder F --threads N --memory B [--gguf G --most M | --base B].");
            return 2;
        }
        Posix.LeadGroup();
        StageProcess.WatchParent();
        var limit = long.Parse(bytes);
        _ = setrlimit(WritableMemory, [limit, limit]);
        set_num_threads(int.Parse(threads));
        JsonObject answer;
        try
        {
            if (more is ["--gguf", var file, "--most", var most]) Convert(file, folder, long.Parse(most));
            answer = new() { ["found"] = JsonSerializer.SerializeToNode(Look(new StoredModel(folder, more is ["--base", var parent] ? parent : null)).ToJson()) };
        }
        catch (Exception refused) when (refused is InvalidInputException or OutOfMemoryException or ExternalException or InvalidOperationException or IOException or NotSupportedException or ArgumentException)
        {
            var wrong = refused as InvalidInputException;
            if (wrong is null) Console.Error.WriteLine(refused);
            answer = new() { ["error"] = new JsonObject { ["message"] = refused is OutOfMemoryException ? $"It needs more than the {limit >> 20:N0} MB that a check may take." : refused.Message, ["param"] = wrong?.Parameter, ["code"] = wrong?.Code } };
        }
        Console.Out.WriteLine(answer.ToJsonString(Wire.Options));
        return 0;
    }

    /// <summary>Makes the folder; a card and a licence that came beside the file belong to it.</summary>
    private static void Convert(string file, string folder, long most)
    {
        using var source = GgufFile.Open(file);
        var bytes = source.Tensors.Values.Sum(tensor => tensor.Elements) * 4;
        if (bytes > most) throw new InvalidInputException($"The file's weights take {bytes:N0} bytes as fp32; {most:N0} are allowed (setting Gradus:MaxModelBytes).", "file", "too_large");
        GgufImport.Convert(file, folder);
        foreach (var beside in ModelFolder.CardFiles.Select(name => Path.Combine(Path.GetDirectoryName(file)!, name)).Where(File.Exists))
            File.Copy(beside, Path.Combine(folder, Path.GetFileName(beside)), overwrite: true);
    }

    private static ModelDescription Look(StoredModel stored)
    {
        var found = ModelDescription.Read(stored);
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (found.Parameters * 4 > memory) throw new InvalidInputException($"{found.Parameters:N0} weights take {found.Parameters * 4 >> 20:N0} MB as fp32; this machine has {memory >> 20:N0} MB.", null, "too_large");
        var tokenizer = Tokenizer.Load(stored.TextFolder);
        if (ChatTemplate.Load(stored.TextFolder) is { } template) template.Render(JsonSerializer.SerializeToElement(new[] { new { role = "user", content = Text } }));
        using var model = stored.Load("cpu");
        var tokens = tokenizer.Encode(Text).Take(Math.Min(32, model.Config.MaxPositions)).DefaultIfEmpty(0).ToArray();
        if (tokens.Max() >= model.Config.VocabularySize)
            throw new InvalidInputException($"The tokenizer has the id {tokens.Max()}, the model {model.Config.VocabularySize} tokens: they do not belong together.", "tokenizer.json", "invalid_value");
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        using var batch = TokenBatch.Create([new TokenRow(tokens, tokens.Length)]);
        var sum = model.Logits(model.Hidden(batch).view(-1, model.Config.HiddenSize)).sum().item<float>();
        if (!float.IsFinite(sum)) throw new InvalidInputException("One forward pass gives scores that are not finite: the weights are damaged.", "model.safetensors", "invalid_value");
        return found;
    }

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int setrlimit(int resource, long[] limits);
}
