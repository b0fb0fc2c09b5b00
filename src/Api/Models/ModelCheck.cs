using System.Diagnostics;
using System.Text.Json;
using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Gradus.Training.Model;

namespace Gradus.Api.Models;

/// <summary>Has a folder loaded once, by a child process (<see cref="CheckProcess"/>), one at a time, within a limit of time and memory.</summary>
internal sealed class ModelCheck(GradusSettings settings, ILogger<ModelCheck> log) : IDisposable
{
    // Weights as fp32 are at most twice what is stored (fp16), of a GGUF (two bits a weight) 16 times; the tokenizer, the runtime and libtorch come on top.
    private const long MemoryBeside = 4L << 30;
    private const int LongestAnswer = 1 << 20;

    private readonly SemaphoreSlim one = new(1, 1);

    /// <summary>What the child found: a <see cref="Training.Model.ModelDescription"/>.</summary>
    /// <exception cref="ApiException">422: the model cannot be loaded; the message says why.</exception>
    /// <param name="gguf">A GGUF file of which the folder is to be made first; null where it is there.</param>
    public async Task<JsonElement> RunAsync(StoredModel model, string? gguf, CancellationToken cancel)
    {
        await one.WaitAsync(cancel);
        try
        {
            var memory = MemoryBeside + (gguf is null ? 2 * new[] { model.Folder, model.WeightsFolder }.Distinct().Sum(folder => new DirectoryInfo(folder).EnumerateFiles().Sum(file => file.Length)) : 16 * new FileInfo(gguf).Length);
            var threads = settings.ChatThreads == 0 ? Environment.ProcessorCount : settings.ChatThreads;
            using var child = new Process { StartInfo = StageChild.Command(["check", "--folder", model.Folder, "--threads", $"{threads}", "--memory", $"{memory}", .. gguf is null ? [] : new[] { "--gguf", gguf, "--most", $"{settings.MaxModelBytes}" }, .. model.Base is null ? [] : new[] { "--base", model.Base }]) };
            foreach (var (name, value) in ProcessEnvironment.For(threads)) child.StartInfo.Environment[name] = value;
            return await WatchAsync(child, cancel);
        }
        finally
        {
            one.Release();
        }
    }

    public void Dispose() => one.Dispose();

    private async Task<JsonElement> WatchAsync(Process child, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(TimeSpan.FromSeconds(settings.ModelCheckSeconds));
        child.Start();
        try
        {
            var errors = TailAsync(child.StandardError);
            var answer = await TailAsync(child.StandardOutput).WaitAsync(limit.Token);
            await child.WaitForExitAsync(limit.Token);
            if (Parsed(answer) is not { } said)
            {
                log.LogWarning("A model's check ended with {ExitCode}: {Lines}", child.ExitCode, await errors);
                throw Refused(child.ExitCode > 128 ? $"the process that loaded it was ended by signal {child.ExitCode - 128}" : $"the process that loaded it ended with exit code {child.ExitCode}", null, null);
            }
            if (said.TryGetProperty("found", out var found)) return found;
            var error = said.GetProperty("error");
            throw Refused(error.GetProperty("message").GetString()!.TrimEnd('.'), error.GetProperty("param").GetString(), error.GetProperty("code").GetString());
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw Refused($"it was not loaded within {settings.ModelCheckSeconds} s (setting Gradus:ModelCheckSeconds)", null, "timeout");
        }
        finally
        {
            if (!child.HasExited) child.Kill(entireProcessTree: true);
        }
    }

    private static ApiException Refused(string why, string? param, string? code) => new(StatusCodes.Status422UnprocessableEntity, $"The model cannot be used: {why}. Nothing was kept.", param, code ?? "model_unusable");

    private static JsonElement? Parsed(string answer)
    {
        try
        {
            return answer.Length == 0 ? null : JsonElement.Parse(answer[(answer.TrimEnd().LastIndexOf('\n') + 1)..]);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static async Task<string> TailAsync(StreamReader reader)
    {
        var text = "";
        var buffer = new char[8192];
        int read;
        while ((read = await reader.ReadAsync(buffer)) > 0)
        {
            text += new string(buffer, 0, read);
            if (text.Length > LongestAnswer) text = text[^LongestAnswer..];
        }
        return text;
    }
}
