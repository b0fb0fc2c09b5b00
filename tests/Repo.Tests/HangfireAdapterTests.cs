using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Xunit;

namespace Gradus.Repo.Tests;

/// <summary>
/// The official profile's job engine cannot be restored everywhere, so its adapter is compiled here against the public names of Hangfire 1.8.24 and
/// Hangfire.PostgreSql 1.21.1 that stand in hangfire-1.8.24.txt: a name or a signature that is not there is an error.
/// </summary>
public sealed partial class HangfireAdapterTests
{
    private static readonly Lazy<IReadOnlyList<MetadataReference>> framework = new(() =>
    {
        var runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        var web = Path.Combine(Path.GetDirectoryName(Path.GetDirectoryName(runtime))!, "Microsoft.AspNetCore.App", Path.GetFileName(runtime));
        return [.. new[] { runtime, web }.SelectMany(folder => Directory.EnumerateFiles(folder, "*.dll")).Where(IsManaged).Select(file => MetadataReference.CreateFromFile(file))];
    });

    private static readonly Lazy<MetadataReference> hangfire = new(CompileStubs);

    [Fact]
    public void The_adapter_compiles_against_the_listed_names() => Assert.Equal("", Errors(Repository.Read("src/Api/Jobs/HangfireDispatcher.cs")));

    [Theory]
    [InlineData("UseSlidingInvisibilityTimeout = true", "UseSlidingInvisibility = true", "CS0117")]
    [InlineData("WorkerCount = 1,", "WorkerCount = \"one\",", "CS0029")]
    [InlineData("client.Enqueue<LookJob>(job => job.Look())", "client.Enqueue<LookJob>(job => job.Look(), 5)", "CS")]
    public void A_name_or_a_type_that_is_not_listed_is_an_error(string listed, string other, string error)
    {
        var adapter = Repository.Read("src/Api/Jobs/HangfireDispatcher.cs");
        Assert.Contains(listed, adapter);
        Assert.Contains(error, Errors(adapter.Replace(listed, other, StringComparison.Ordinal)));
    }

    private static string Errors(string adapter)
    {
        string[] implicitUsings = ["System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Threading", "System.Threading.Tasks", "System.Net.Http.Json",
            "Microsoft.AspNetCore.Builder", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Http", "Microsoft.AspNetCore.Routing", "Microsoft.Extensions.Configuration",
            "Microsoft.Extensions.DependencyInjection", "Microsoft.Extensions.Hosting", "Microsoft.Extensions.Logging"];
        var compilation = Compile("Adapter", [hangfire.Value],
            adapter, Repository.Read("src/Api/Jobs/IJobDispatcher.cs"), Repository.Read("src/Api/Jobs/WorkerSignal.cs"), string.Concat(implicitUsings.Select(name => $"global using {name};\n")));
        return string.Join('\n', compilation.GetDiagnostics().Where(problem => problem.Severity == DiagnosticSeverity.Error || problem.Id.StartsWith("CS86", StringComparison.Ordinal)));
    }

    /// <summary>The list as an assembly. Types it mentions and does not list become empty ones.</summary>
    private static PortableExecutableReference CompileStubs()
    {
        var stubs = new SurfaceStubs(new Dictionary<string, string>
        {
            ["BackgroundJobClient"] = "IBackgroundJobClientV2", ["IBackgroundJobClientV2"] = "IBackgroundJobClient", ["IGlobalConfiguration`1"] = "IGlobalConfiguration",
            ["BackgroundJobServer"] = "IDisposable",
        }).Source(File.ReadLines(Path.Combine(Repository.Root, "tests/Repo.Tests/hangfire-1.8.24.txt")));
        Dictionary<string, string> missing = new()
        {
            ["JobFilterAttribute"] = "public class JobFilterAttribute : Attribute { internal JobFilterAttribute() { } }", ["IGlobalConfiguration"] = "public interface IGlobalConfiguration { }",
            ["JobContinuationOptions"] = "public enum JobContinuationOptions { }",
        };
        for (var round = 0; ; round++)
        {
            var compilation = Compile("Hangfire", [], stubs, "using System;\nnamespace Hangfire {\n" + string.Join('\n', missing.Values) + "\n}");
            var errors = compilation.GetDiagnostics().Where(problem => problem.Severity == DiagnosticSeverity.Error).ToArray();
            var unknown = errors.Where(problem => problem.Id == "CS0246").Select(problem => MissingName().Match(problem.GetMessage())).Where(match => match.Success).ToArray();
            if (errors.Length == 0)
            {
                using var image = new MemoryStream();
                Assert.True(compilation.Emit(image).Success);
                return MetadataReference.CreateFromImage(image.ToArray());
            }

            if (unknown.Length == 0 || round > 5) Assert.Fail("The stubs do not compile:\n" + string.Join('\n', errors.Take(10).Select(problem => problem.ToString())));
            foreach (var match in unknown)
            {
                var (name, arguments) = (match.Groups[1].Value, match.Groups[2].Value);
                missing[name + arguments] = $"public class {name}{(arguments.Length == 0 ? "" : "<" + string.Join(", ", Enumerable.Range(0, arguments.Count(letter => letter == ',') + 1).Select(place => "T" + place)) + ">")} {{ internal {name}() {{ }} }}";
            }
        }
    }

    private static CSharpCompilation Compile(string name, IEnumerable<MetadataReference> references, params string[] sources) => CSharpCompilation.Create(
        name, sources.Select(source => CSharpSyntaxTree.ParseText(source, new CSharpParseOptions(LanguageVersion.Latest))), [.. framework.Value, .. references],
        new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));

    private static bool IsManaged(string file)
    {
        using var stream = File.OpenRead(file);
        using var image = new System.Reflection.PortableExecutable.PEReader(stream);
        return image.HasMetadata;
    }

    [GeneratedRegex(@"name '(\w+)(<,*>)?'")]
    private static partial Regex MissingName();
}
