using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

/// <summary>What llama.cpp makes of one GGUF file: its template, ids of texts, and the ids it goes on with after a prompt.</summary>
internal sealed record LlamaAnswer(string? Template, int[][] Texts, int[] Greedy);

/// <summary>One question of <see cref="LlamaCpp"/>.</summary>
internal sealed record LlamaCase(string File, string[] Texts, int[] Prompt, int Count);

/// <summary>
/// llama.cpp as node-llama-cpp ships it, fetched by npm from a lock file beside the tests when first asked. A test that cannot have it skips with the reason.
/// </summary>
internal static class LlamaCpp
{
    private static readonly JsonSerializerOptions web = new(JsonSerializerDefaults.Web);

    private static readonly Lazy<string?> problem = new(Fetch);

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Gguf", "llama");

    public static LlamaAnswer[] Ask(params IReadOnlyList<LlamaCase> cases)
    {
        Assert.SkipWhen(problem.Value is not null, problem.Value ?? "");
        var (code, output, errors) = Run("node", ["llama.mjs"], JsonSerializer.Serialize(new { cases }, web));
        Assert.True(code == 0, $"llama.cpp failed: {errors}");
        return JsonSerializer.Deserialize<LlamaAnswer[]>(output, web)!;
    }

    private static string? Fetch()
    {
        if (RuntimeInformation.OSArchitecture != Architecture.X64 || !OperatingSystem.IsLinux()) return "llama.cpp's package here is for Linux on x64.";
        if (Directory.Exists(Path.Combine(Folder, "node_modules", "node-llama-cpp"))) return null;
        try
        {
            // Not ci: it refuses a lock without the packages of all other systems, which not every registry has.
            var (code, _, errors) = Run("npm", ["install", "--no-save", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"], "");
            return code == 0 ? null : $"npm cannot fetch node-llama-cpp: {errors.Split('\n')[0]}";
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            return $"npm cannot be run: {error.Message}";
        }
    }

    private static (int Code, string Output, string Errors) Run(string program, string[] arguments, string input)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = Folder, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, errors.GetAwaiter().GetResult());
    }
}
