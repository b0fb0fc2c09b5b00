using System.Text;
using System.Text.RegularExpressions;
using Jint;
using Jint.Native;
using Jint.Runtime;

namespace Gradus.Training.Text;

/// <summary>
/// One parsed Jinja template: @huggingface/jinja in the JavaScript interpreter Jint, without any host object but the clock. Statements, memory, time and
/// stack are bounded; an engine that ran into a bound is thrown away. Jint is for one thread at a time, hence the lock.
/// </summary>
internal sealed class JinjaEngine
{
    private const int LongestTemplate = 256 * 1024;

    /// <summary>
    /// Bounds of one rendering. Qwen3's template takes 0.2 MB a message, all that is allocated counted, living or not. Time is the last resort, and
    /// far off: what one chat may cost must not depend on how busy the machine is, so the statements end first.
    /// </summary>
    private const int MostStatements = 20_000_000, DeepestRecursion = 400;
    private const long MostMemory = 1L << 30;
    private static readonly TimeSpan longest = TimeSpan.FromSeconds(60), longestMatch = TimeSpan.FromSeconds(2);

    private static readonly string[] parts = ["jinja.js", "bounds.js", "python-values.js", "python.js", "render.js"];

    private static readonly Lazy<Prepared<Acornima.Ast.Script>[]> scripts = new(() =>
        [Prepare("var module = { exports: {} };", "module"), .. parts.Select(part => Prepare(Resource(part), part))]);

    private readonly Lock turn = new();
    private readonly string source;
    private readonly TimeProvider time;
    private Engine? engine;

    public JinjaEngine(string source, TimeProvider time)
    {
        if (source.Length > LongestTemplate) throw new InvalidInputException($"A chat template may have {LongestTemplate} characters; it has {source.Length}.", "chat_template", "out_of_range");
        (this.source, this.time) = (source, time);
        lock (turn) engine = Start();
    }

    /// <param name="variables">As <see cref="JinjaValues"/> writes them.</param>
    public string Render(string variables)
    {
        lock (turn)
        {
            engine ??= Start();
            return Guarded(() => engine.Invoke("renderTemplate", variables, new Func<string, string>(format => StrfTime.Format(time.GetLocalNow(), format))).AsString());
        }
    }

    private Engine Start()
    {
        return Guarded(() =>
        {
            var started = new Engine(options =>
            {
                options.LimitRecursion(DeepestRecursion).MaxStatements(MostStatements).LimitMemory(MostMemory).TimeoutInterval(longest).DisableStringCompilation();
                options.Constraints.StackOverflowGuard = true;
                options.Constraints.RegexTimeout = longestMatch;
                options.Constraints.MaxArraySize = 1_000_000;
            });
            foreach (var script in scripts.Value) started.Execute(script);
            started.Invoke("parseTemplate", source);
            return started;
        });
    }

    private T Guarded<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (JavaScriptException problem)
        {
            // The template's own words, or a bound of bounds.js.
            throw new InvalidInputException($"The chat template failed: {problem.Message}", "chat_template");
        }
        catch (Exception problem) when (problem is not InvalidInputException)
        {
            engine = null; // somewhere within
            throw Limit(problem) is { } limit
                ? new InvalidInputException($"The chat template was ended: it may {limit}.", "chat_template", "out_of_range")
                : new InvalidInputException($"The chat template failed: {problem.Message}", "chat_template");
        }
    }

    private static string? Limit(Exception problem) => problem switch
    {
        StatementsCountOverflowException => $"run {MostStatements} statements",
        MemoryLimitExceededException => $"allocate {MostMemory} bytes",
        RegexMatchTimeoutException => $"look for a pattern for {longestMatch.TotalSeconds} seconds",
        TimeoutException => $"run {longest.TotalSeconds} seconds",
        RecursionDepthOverflowException or InsufficientExecutionStackException => $"nest {DeepestRecursion} calls",
        _ => null,
    };

    private static Prepared<Acornima.Ast.Script> Prepare(string text, string name) => Engine.PrepareScript(text, name);

    private static string Resource(string name)
    {
        using var stream = typeof(JinjaEngine).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"The resource {name} is not embedded.");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
